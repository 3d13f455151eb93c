"""The stories that can be played, by their names; each shows one tool's rules, from the first day to the last."""

from collections.abc import Mapping

from service.cli.stories import backlog, chatwork, trello
from service.cli.story import Story

STORIES: Mapping[str, Story] = {story.name: story for story in (trello.STORY, chatwork.STORY, backlog.STORY)}
