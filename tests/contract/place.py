"""An account with something of everything, and every id of it by the name that openapi.yaml gives it in a path."""

from typing import Any

import requests

from tests.flows.customer import Customer
from tests.flows.house import ADMIN_KEY, House, wait
from tests.flows.tool import at, ident, in_workspace

START, LATER = at("2025-01-15"), at("2025-04-15")
#: Who may command in every workspace, whatever its tool calls the role.
BOSS = ident("aoi")
ROLES = {"trello": "admin", "chatwork": "administrator", "backlog": "contract_admin", "standard": "admin"}
CARD = {"interval": "month", "payment_method": "card"}
TERMS = {"terms_version": "3", "terms_accepted_at": "2025-01-15T00:00:00.000Z"}


class Place:
    """Workspaces of each tool: subscribed, charged and paid, on trial, and new; with documents, deliveries, a clock."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.customer = customer = Customer(house, START)
        self.secret = customer.secret
        self._account()
        self.connections = {tool: self.connection(tool) for tool in ROLES} | {"trello": customer.connection["id"]}
        self.workspaces = [
            self._told("trello", "kobo", "subscription", {"plan": "trello-premium", **CARD}),
            self._told("trello", "ume", "subscription", {"plan": "trello-standard", **CARD}),
            self._told("chatwork", "hako", "subscription", {"plan": "chatwork-business", "licences": 5, **CARD}),
            self._told("chatwork", "tsuru", "subscription", {"plan": "chatwork-free", **CARD}),
            self._told("backlog", "nami", "trial", {"plan": "backlog-standard", **TERMS}),
            self._told("backlog", "kawa", "trial", {"plan": "backlog-starter", **TERMS}),
            self.workspace("standard", "matsu"),
            self.workspace("trello", "take"),
        ]
        customer.advance(at("2025-02-01"))
        self._command("backlog", self.workspaces[5], "registration", CARD)
        customer.advance(LATER)
        customer.tell(in_workspace("addMemberToOrganization", "kobo", "ren", LATER, "ren"), self.workspaces[0])
        wait(lambda: self.charges() and all(row["status"] == "succeeded" for row in self.charges()), 60)
        self.ids = self._ids()
        #: What `DELETE` and a new full list may spoil, by operation and name of the id.
        self.spare = {
            "DELETE /v1/connections/{connection_id}": ("connection_id", [self.connection("trello") for _ in range(9)]),
            "POST /v1/workspaces/{workspace_id}/roster": ("workspace_id", [self.workspace("standard", "spare")]),
        }

    def _account(self) -> None:
        issuer = {"name": "合同会社こだま", "registration_number": "T7120001168421", "small_returns": False}
        body = {"issuer": issuer, "recipient": {"name": "すずらん設計"}, "tax_rate": "1/10"}
        self.admin("PATCH", f"/v1/accounts/{self.customer.account}", body)

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """A call with the admin's key, which must succeed."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        answer = requests.request(method, self.house.url + path, json=body, headers=headers, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def connection(self, tool: str) -> str:
        """One more connection of a tool, with the secret of the first."""
        return str(self.customer.post("/v1/connections", {"tool": tool, "secrets": [self.secret]})["id"])

    def workspace(self, tool: str, name: str) -> str:
        """A workspace with one person in it, who may command."""
        made = self.customer.workspace(name, tool=tool, connection_id=self.connections[tool])
        contact = {"name": "鈴木 蘭", "email": "ran@suzuran.example", "language": "ja"}
        self.customer.patch(f"/v1/workspaces/{made}", {"billing_contact": contact})
        members = [{"id": BOSS, "name": "Aoi", "role": ROLES[tool]}, {"id": ident("mio"), "name": "Mio"}]
        self.customer.post(f"/v1/workspaces/{made}/roster", {"members": members}, 200)
        return made

    def _told(self, tool: str, name: str, command: str, body: dict[str, Any]) -> str:
        """A workspace that was given a command."""
        made = self.workspace(tool, name)
        self._command(tool, made, command, body)
        return made

    def _command(self, tool: str, workspace: str, command: str, body: dict[str, Any]) -> None:
        actor = {"id": BOSS, "role": ROLES[tool]}
        self.customer.post(f"/v1/workspaces/{workspace}/{command}", {"actor": actor, **body})

    def charges(self) -> list[dict[str, Any]]:
        """Every charge of the account."""
        return [row for made in self.workspaces for row in self.customer.of(made, "charges")]

    def _ids(self) -> dict[str, list[str]]:
        customer = self.customer
        found = {
            "account_id": [customer.account],
            "charge_id": [row["id"] for row in self.charges()],
            "clock_id": [str(customer.clock)],
            "connection_id": list(self.connections.values()),
            "delivery_id": [row["id"] for row in customer.deliveries()],
            "document_id": [row["id"] for made in self.workspaces for row in customer.of(made, "documents")],
            "key_id": [self.admin("POST", "/v1/keys", {"account_id": customer.account})["id"] for _ in range(12)],
            "entry_id": [row["entry_id"] for row in customer.of(self.workspaces[0], "ledger")],
            "workspace_id": self.workspaces,
            "tool": list(self.connections),
            "gateway": ["standard"],
        }
        assert all(found.values()), found
        return found
