"""The console: web pages for people who have an account here.

    gateway ──▶ mount ──▶ (loaded by the first request) application ──▶ pages/*
                 │ size, time, places         │ security headers, cookies, errors

The pages, their framework and their templates are loaded by the first request for one of them.
`mount`, `services` and `site` are loaded at the start and import none of it.

A page is a module in `pages/` with a `router`, which `application` lists:

    router = APIRouter()

    @router.get("/limits")
    async def show_limits(page: AccountPage) -> Response:
        found = await page.run(read_limits, page.account.id)
        return page.render("limits.html", limits=found)

`AccountPage` is a request by somebody who is signed in, about an account. It sends others to the
sign-in page, and refuses a form without the session's token: each form holds `{{ csrf_field() }}`.
`page.account` is the account that the page is about; the menu's links keep it. `page.run` runs a
function of the store in a thread, with the console's own database; `page.ask` hands it the
installation, too. `page_request` has the other kinds of requests: about no account, by persons
only. A template extends `page.html`, which has the menu, and fills the blocks `title` and
`content`; `static("console.css")` is the URL of a file in `static/`, and `_("…")`, or `marked("…")`
in Python, marks a text that is translated. A POST ends in `redirect(…)`. `CONTRIBUTING.md` lists
the other places that know each page.
"""
