"""
Where a namespace lives in Redis: the names and what is behind them.

    {gf:NS}:meta                 hash     schema, ready, epoch, rev, nonce, count, start, base, replaces
    {gf:NS}:flags                hash     key -> "<revision>:" and the document's own bytes
    {gf:NS}:segments             hash     the same
    {gf:NS}:offs                 hash     flag key -> the generations of all its variants, packed (`wire.py`)
    {gf:NS}:log                  stream   every change; ids are `<revision>-0`, so its order is that of the revisions
    {gf:NS}:history:<kind>:<key> stream   the newest changes of one document; same ids, same fields
    {gf:NS}:idem:<request id>    string   revision and nonce that a request made; gone after ten minutes
    {gf:NS}:ch                   channel  every change as it happens
    {gf:NS}:run:*                         what running services write, the board; changing flags does not touch it

The board:

    {gf:NS}:run:records:<collection>   hash    name -> value, version, lease and end of a record, in one (`record.py`)
    {gf:NS}:run:expiries:<collection>  zset    name -> end, of the records that have one
    {gf:NS}:run:fence                  string  the last fence, of all collections
    {gf:NS}:run:counter:<counter>      hash    field -> sum; goes away by itself
    {gf:NS}:run:writers:<counter>      hash    writer -> number of its last batch; goes away with the sums
    {gf:NS}:run:set:<set>              zset    member -> since when; may go away by itself

In `meta`, `count` is the number of flags and segments together, `start` the revision with which the epoch began,
`base` the revision after which the log has no hole, `replaces` the epochs that this one stands for.

Instants of the board are microseconds since the epoch, by the server's clock. A record is one field, so that it is
read whole by one command, and all of a collection by one other.

One hash tag for everything, so that a namespace is one slot of a cluster and one pattern of an ACL. Generations are
one field per flag, not one per variant: a commit answers with all of them, and the script could not find the others
without reading the whole hash. Redis knows no databases in Pub/Sub: namespaces of one name in two databases of one
server hear each other's messages, tell them by the epoch, and check their positions once more than they had to.

Contract: other processes and other releases read these names. A change of them is a new `SCHEMA`.
"""

from grayflow.store.port import DocumentKind

__all__ = ["REVISION_LIMIT", "Keys", "field", "is_generation", "is_revision", "type_of"]

REVISION_LIMIT = 10**15
"""
Revisions stay below it: scripts count in doubles, which are exact up to 2^53 = 9.007·10^15, and 2·R+1 has to fit.
At a thousand changes a second it is reached after 30,000 years; data beyond it is damaged.
"""


def is_revision(text: bytes) -> bool:
    """Whether `text` is a revision as the script writes one."""
    return text.isdigit() and len(text) <= 15


def is_generation(text: bytes) -> bool:
    """Whether `text` is the number of a switch-off; see `Edit`."""
    return text.isdigit() and len(text) <= 19 and int(text) < 2**63


def field(key: str) -> bytes:
    """Return a document's key as bytes. One that no flag can have is asked for in vain, and does not fail."""
    return key.encode(errors="surrogatepass")


def type_of(key: str | bytes) -> str:
    """Return the type of what lives under one of our keys, in Redis's word."""
    name = (key if isinstance(key, str) else key.decode(errors="replace")).partition("}:")[2]
    if name == "log" or name.startswith("history:"):
        return "stream"
    if name.startswith(("run:expiries:", "run:set:")):
        return "zset"
    return "string" if name.startswith("idem:") or name == "run:fence" else "hash"


class Keys:
    """The names of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.prefix = f"{{gf:{namespace}}}:"
        self.meta = f"{self.prefix}meta"
        self.offs = f"{self.prefix}offs"
        self.log = f"{self.prefix}log"
        self.channel = f"{self.prefix}ch"
        self.fence = f"{self.prefix}run:fence"
        self._documents: dict[DocumentKind, str] = {
            "flag": f"{self.prefix}flags",
            "segment": f"{self.prefix}segments",
        }

    def documents(self, kind: DocumentKind) -> str:
        """Return the hash of all documents of a kind."""
        return self._documents[kind]

    def history(self, kind: DocumentKind, key: str) -> bytes:
        """Return the stream of one document's changes."""
        return f"{self.prefix}history:{kind}:".encode() + field(key)

    def request(self, request_id: str) -> str:
        """Return the key that remembers a request."""
        return f"{self.prefix}idem:{request_id}"

    def records(self, collection: str) -> str:
        """Return the hash of a collection's records."""
        return f"{self.prefix}run:records:{collection}"

    def expiries(self, collection: str) -> str:
        """Return the sorted set of a collection's records that go away."""
        return f"{self.prefix}run:expiries:{collection}"

    def counter(self, counter: str) -> str:
        """Return the hash of a counter's sums."""
        return f"{self.prefix}run:counter:{counter}"

    def writers(self, counter: str) -> str:
        """Return the hash of a counter's writers."""
        return f"{self.prefix}run:writers:{counter}"

    def members(self, name: str) -> str:
        """Return the sorted set that is a set."""
        return f"{self.prefix}run:set:{name}"
