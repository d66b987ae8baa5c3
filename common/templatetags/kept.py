"""`{% kept %}…{% endkept %}`: a part of a page that is the same for everyone, made once and then kept.

The head, menu and footer are half the work of a small page. What may stand inside depends on nothing but the language
and the arguments of the tag; the parts are kept in the process's own memory, with the compiled template.
"""

from django import template
from django.utils.translation import get_language

register = template.Library()

# Addresses are anybody's to invent: a part is kept for so many of them and then made afresh.
KEPT_AT_MOST = 200


class KeptNode(template.Node):
    """Renders its inside once per language and values of `keys`."""

    def __init__(self, nodelist: template.NodeList, keys: list):
        self.nodelist, self.keys = nodelist, keys
        self.parts: dict[tuple, str] = {}

    def render(self, context: template.Context) -> str:
        key = (get_language(), *[key.resolve(context) for key in self.keys])
        part = self.parts.get(key)
        if part is None:
            if len(self.parts) >= KEPT_AT_MOST:
                self.parts = {}
            part = self.parts[key] = self.nodelist.render(context)
        return part


@register.tag
def kept(parser, token) -> KeptNode:
    """`{% kept key… %}`: keep the inside for each language and each value of the keys."""
    _, *keys = token.split_contents()
    nodelist = parser.parse(("endkept",))
    parser.delete_first_token()
    return KeptNode(nodelist, [parser.compile_filter(key) for key in keys])


@register.simple_tag(takes_context=True)
def menu_place(context: dict) -> str:
    """What of the page's address the menu's `aria-current` depends on: its first part, and whether more follows."""
    request = context.get("request")
    path = request.path.lstrip("/").removeprefix("en/") if request else "?"
    first, slash, rest = path.partition("/")
    return f"{first}{slash}{'…' if rest else ''}"
