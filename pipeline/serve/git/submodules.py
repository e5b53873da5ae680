"""The submodules of a checkout (gitsubmodules(7)): each at the commit that its repository names, or none of them."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import PipelineError, StoreError
from pipeline.serve import addresses
from pipeline.serve.git.access import MODULES
from pipeline.serve.git.command import Command, own_of
from pipeline.serve.git.errors import Damaged
from pipeline.serve.settings import Repository

_REMEDY = "or set `submodules: false`, where no manifest needs it"


def update(git: Command, repository: Repository, folder: Path) -> None:
    """Checks them out in a checkout, those of submodules, too; what is as it should be is not touched. Nothing is asked
    of the other side where their commits are here. Raises OutOfReach, Gone, Refused,
    StoreError; Damaged where it may be what is kept of them here.
    """
    if not (folder / ".gitmodules").is_file():
        return
    env, had = _surroundings(git, repository), _kept(git, folder).exists()
    # What an earlier job left in them; where nothing was checked out yet, this does nothing.
    clean = ["submodule", "--quiet", "foreach", "--recursive", "git clean --quiet -ffdx"]
    git.local(*clean, worktree=folder, env=env)
    git.local("submodule", "--quiet", "sync", "--recursive", worktree=folder, env=env)
    words = ["submodule", "--quiet", "update", "--init", "--recursive", "--force"]
    place = f"a submodule of {repository.name}"
    try:
        git.remote(*words, worktree=folder, env=env, place=place)
    except PipelineError as error:
        if had and isinstance(error, StoreError):
            raise Damaged(error.message, remedy=error.remedy) from None
        error.remedy = f"{error.remedy}; {_REMEDY}" if error.remedy else _REMEDY
        raise


def remove(git: Command, folder: Path) -> None:
    """Leaves none: their folders are empty."""
    if _kept(git, folder).exists():
        git.local("submodule", "--quiet", "deinit", "--all", "--force", worktree=folder)


def _kept(git: Command, folder: Path) -> Path:
    """Where git keeps their repositories (gitrepository-layout(5), "modules")."""
    return own_of(git.folder, folder) / "modules"


def _surroundings(git: Command, repository: Repository) -> dict[str, str]:
    """Git's own settings without the repository's address, which would come before theirs. Relative addresses begin at
    that of the mirror. Those of this machine are for repositories of this machine: a commit of another one must not
    lead to what only the server may read.
    """
    git.local("config", "remote.origin.url", repository.url)
    config = Path(git.environ["GIT_CONFIG_GLOBAL"]).with_name(MODULES)
    here = addresses.is_path(repository.url)
    return {"GIT_CONFIG_GLOBAL": str(config), **({} if here else {"GIT_ALLOW_PROTOCOL": "https:http:ssh"})}


__all__ = ["remove", "update"]
