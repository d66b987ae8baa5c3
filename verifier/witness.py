"""Start of the stand-alone witness: `python mtce_witness.py --name … --key-file … --state … --log-key …`."""

import sys

from ledger.witnesses import witness_main

if __name__ == "__main__":
    sys.exit(witness_main())
