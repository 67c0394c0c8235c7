"""The pages, served by Flask."""

from flask import Flask, render_template
from site_layers import create_tables, wrap

flask_app = Flask(__name__, template_folder="pages", static_folder=None)


@flask_app.get("/")
@flask_app.get("/<name>")
def page(name="notes"):
    return render_template(f"{name}.html") if name in ("notes", "chat", "upload") else ("No such page", 404)


app = wrap(flask_app)
create_tables(app)
