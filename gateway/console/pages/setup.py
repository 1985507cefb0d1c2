"""`/console/setup`: the set-up of each client, and the models with their prices."""

from functools import cache

from fastapi import APIRouter
from fastapi.responses import Response

from gateway.console.client_setups import CLIENTS, HIDDEN_KEY, ClientSetups
from gateway.console.page_request import AccountPage

router = APIRouter()


@cache
def client_setups() -> ClientSetups:
    """The texts, read by the first page that shows them."""
    return ClientSetups()


@router.get("/setup")
async def show_setup(page: AccountPage) -> Response:
    console, given = page.console, page.query
    models = console.catalog.chat_models
    model = next((each for each in models if each.id == given.get("model")), models[0])
    client = next((each.id for each in CLIENTS if each.id == given.get("client")), CLIENTS[0].id)
    return page.render(
        "setup.html",
        url=console.client_url,
        model=model,
        client=client,
        model_choices=[(each.id, each.display_name) for each in models],
        setups=list(client_setups().render(console.client_url, HIDDEN_KEY, model)),
        hidden_key=HIDDEN_KEY,
        catalog=console.catalog.models,
        has_token_prices=any(each.price.rates for each in console.catalog.models),
        may_make_keys=page.may("keys"),
    )
