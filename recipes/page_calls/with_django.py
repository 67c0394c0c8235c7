"""The same pages, served by Django."""

from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path
from django.views.generic import TemplateView
from site_layers import create_tables, wrap

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="not used: nothing is signed by Django here",
    TEMPLATES=[
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [Path(__file__).parent / "pages"]}
    ],
)
django.setup()

urlpatterns = [
    path("", TemplateView.as_view(template_name="notes.html")),
    path("chat", TemplateView.as_view(template_name="chat.html")),
    path("upload", TemplateView.as_view(template_name="upload.html")),
]

app = wrap(get_wsgi_application())
create_tables(app)
