"""Loaded before nbval: keeps a slow import that nothing needs here out of the pytest process.

jsonschema, which nbformat imports, builds a grammar for addresses at import if rfc3987_syntax is installed: over two
seconds of each start.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
