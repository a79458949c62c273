"""The routers of all pages."""

from huleedu_dagster.intake.pages import actions, batch, essay, home, static_files

PAGES = (
    home.router,
    batch.router,
    essay.router,
    actions.router,
    static_files.router,
)
