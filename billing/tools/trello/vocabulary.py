"""Trello's published actions that never change a seat. Any other word is counted as unknown, never guessed."""

#: Cards, lists and labels; addMemberToCard and its kin look like membership of a board and are not.
_WORDS = """
    addAttachmentToCard addChecklistToCard addLabelToCard addMemberToCard addOrganizationToEnterprise
    addToEnterprisePluginWhitelist acceptEnterpriseJoinRequest commentCard convertToCardFromCheckItem copyCard
    copyChecklist copyCommentCard createBoardPreference createCard createCheckItem createChecklist createCustomField
    createLabel createList createOrganization deleteAttachmentFromCard deleteCard deleteCheckItem deleteComment
    deleteCustomField deleteLabel disableEnterprisePluginWhitelist disablePlugin disablePowerUp emailCard
    enableEnterprisePluginWhitelist enablePlugin enablePowerUp moveCardFromBoard moveCardToBoard moveListFromBoard
    moveListToBoard removeChecklistFromCard removeFromEnterprisePluginWhitelist removeLabelFromCard
    removeMemberFromCard removeOrganizationFromEnterprise updateCard updateCheckItem updateCheckItemStateOnCard
    updateChecklist updateComment updateCustomField updateCustomFieldItem updateLabel updateList updateMember
    updateOrganization voteOnCard
"""

NOT_ABOUT_SEATS = frozenset(_WORDS.split())
