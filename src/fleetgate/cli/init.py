"""`fleetgate init`"""

from __future__ import annotations

import typer

from fleetgate.cli import show
from fleetgate.cli.key import new_key
from fleetgate.cli.place import Here, Place, at_place
from fleetgate.cli.show import Json
from fleetgate.works import database_address

app = typer.Typer(add_completion=False)


@app.command()
@at_place
async def init(place: Place, *, as_json: Json = False) -> None:
    """Found an installation: its CA, its secrets, its database, and an operator's access key, shown this once.

    Where there is one already, nothing is changed.
    """
    async with place.open(found=True) as here:
        founded = here.works.installation.founded
        record = _record(here) | {"founded": founded}
        if founded:
            made = await new_key(here, "made by fleetgate init")
            record |= {"access_key_id": made.id, "secret_access_key": made.secret}
    if founded and not as_json:
        show.say(f"Founded an installation in {record['data_dir']}.")
    elif not as_json:
        show.say(f"There is an installation in {record['data_dir']} already; nothing was changed.")
    show.details(record if as_json else {key: text for key, text in record.items() if key != "founded"}, as_json)
    if founded and not as_json:
        show.say("Keep the secret access key now: it is not shown again (fleetgate key create makes another).")
        show.say(f"Next: fleetgate serve --data-dir {record['data_dir']}")


def _record(here: Here) -> dict[str, str | bool]:
    installation = here.works.installation
    return {
        "data_dir": str(installation.folder.absolute()),
        "root_certificate": str(installation.root_file.absolute()),
        "database": database_address(here.config).partition("?")[0],
        "account": here.realm.account,
        "region": here.realm.region,
    }
