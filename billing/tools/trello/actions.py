"""What each Trello action says about seats (formats.md section 1, "Membership actions")."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from billing.tools.parsing import MalformedError, parse
from billing.tools.room import Event, Reading
from billing.tools.trello.shapes import Action, action_type, seat_action
from billing.tools.trello.vocabulary import NOT_ABOUT_SEATS

_Reader = Callable[[Action], Reading]


def read(headers: Mapping[str, str], body: bytes) -> Reading:
    """The facts of one delivery. Never raises: what is genuine but unreadable is quarantined with the field's name."""
    parsed = parse(body)
    if parsed.fault:
        return Reading(quarantined=True, reason=parsed.fault)
    word = ""
    try:
        word = action_type(parsed.value)
        reader = _READERS.get(word)
        if reader:
            return replace(reader(seat_action(parsed.value)), action=word)
    except MalformedError as error:
        return Reading(quarantined=True, reason=str(error), action=word)
    if word in NOT_ABOUT_SEATS:
        return Reading(action=word, reason=f"{word} is not about seats")
    return Reading(action=word, known=False, reason=f"the action {word} is unknown")


def _on_board(kind: str, action: Action) -> Reading:
    if action.member is None:
        return _unnamed()
    event = replace(_about_member(kind, action), board=action.board, owner=action.owner)
    return Reading((event,))


def _in_workspace(kind: str, action: Action) -> Reading:
    if action.member is None:
        return _unnamed()
    return Reading((replace(_about_member(kind, action), workspace=action.workspace),))


def _role(role: str, action: Action) -> Reading:
    reading = _in_workspace("member.role_changed", action)
    return replace(reading, events=tuple(replace(event, data={"role": role}) for event in reading.events))


def _activity(kind: str, action: Action) -> Reading:
    """Deactivated or reactivated, in a workspace, an enterprise or a board: inferred shapes, nobody published one.

    An enterprise's names no workspace: the event is kept, and a snapshot must tell which workspaces it concerns.
    """
    if action.member is None:
        return _unnamed()
    workspace = action.workspace
    event = replace(
        _about_member(kind, action), workspace=workspace, board=action.maybe_board, owner=action.owner, data={}
    )
    return Reading((event,), reread=workspace is None)


def _attached(action: Action) -> Reading:
    if action.moved_to is None:
        return Reading(reread=True, reason="the board's new workspace is not named")
    return _board("board.attached", action, action.moved_to)


def _detached(action: Action) -> Reading:
    return _board("board.detached", action, action.named_workspace)


def _created(action: Action) -> Reading:
    # The watched model counts only if it is the new board: a copy is also heard where the original lives.
    workspace = action.moved_to or action.owner
    if not workspace:
        return Reading(reason="a board outside any workspace has no seats")
    return _board("board.attached", action, workspace)


def _updated(action: Action) -> Reading:
    before, after = action.closed
    if before is None or before == after:
        return Reading(reason="the board was neither closed nor reopened")
    if after is None:
        return Reading(reread=True, reason="the board's new state is not shown")
    return _shown("board.closed" if after else "board.reopened", action)


def _shown(kind: str, action: Action) -> Reading:
    return Reading((Event(kind, action.at, action.id, board=action.board, owner=action.owner),))


def _board(kind: str, action: Action, workspace: str | None) -> Reading:
    return Reading((Event(kind, action.at, action.id, board=action.board, workspace=workspace),))


def _about_member(kind: str, action: Action) -> Event:
    data = {"role": action.role} if action.role else {}
    return Event(kind, action.at, action.id, member=action.member, name=action.name, data=data)


def _unnamed() -> Reading:
    return Reading(reread=True, reason="the action does not name the member")


def _ignored(reason: str, action: Action) -> Reading:
    return Reading(reason=reason)


def _hint(reason: str, action: Action) -> Reading:
    return Reading(reread=True, reason=reason)


_BOARD_ROLE = partial(_ignored, "a role on a board never changes a seat (TR-14)")
_INVITED = partial(_hint, "an invitation names only the inviter; pending people have no seat (TR-18)")

_READERS: Mapping[str, _Reader] = {
    "addMemberToBoard": partial(_on_board, "board.member_added"),
    "addAdminToBoard": partial(_on_board, "board.member_added"),
    "removeMemberFromBoard": partial(_on_board, "board.member_removed"),
    "removeAdminFromBoard": partial(_on_board, "board.member_removed"),
    "addMemberToOrganization": partial(_in_workspace, "member.joined"),
    "addAdminToOrganization": partial(_in_workspace, "member.joined"),
    "removeMemberFromOrganization": partial(_in_workspace, "member.left"),
    "removeAdminFromOrganization": partial(_in_workspace, "member.left"),
    "makeAdminOfOrganization": partial(_role, "admin"),
    "makeNormalMemberOfOrganization": partial(_role, "normal"),
    "makeAdminOfBoard": _BOARD_ROLE,
    "makeNormalMemberOfBoard": _BOARD_ROLE,
    "makeObserverOfBoard": _BOARD_ROLE,
    "deactivatedMemberInOrganization": partial(_activity, "member.deactivated"),
    "deactivatedMemberInEnterprise": partial(_activity, "member.deactivated"),
    "deactivatedMemberInBoard": partial(_activity, "member.deactivated"),
    "reactivatedMemberInOrganization": partial(_activity, "member.reactivated"),
    "reactivatedMemberInEnterprise": partial(_activity, "member.reactivated"),
    "reactivatedMemberInBoard": partial(_activity, "member.reactivated"),
    "addToOrganizationBoard": _attached,
    "removeFromOrganizationBoard": _detached,
    # Seen only in Trello's GraphQL types; whether a webhook sends it is unconfirmed.
    "updateBoardOrg": _attached,
    "createBoard": _created,
    "copyBoard": _created,
    "updateBoard": _updated,
    # One client library alone names these two; the captures close and reopen by updateBoard.
    "closeBoard": partial(_shown, "board.closed"),
    "reopenBoard": partial(_shown, "board.reopened"),
    "unconfirmedBoardInvitation": _INVITED,
    "unconfirmedOrganizationInvitation": _INVITED,
    "createBoardInvitation": _INVITED,
    "createOrganizationInvitation": _INVITED,
    "deleteBoardInvitation": _INVITED,
    "deleteOrganizationInvitation": _INVITED,
    "memberJoinedTrello": partial(_hint, "an invited person made an account; only a snapshot says where"),
}
