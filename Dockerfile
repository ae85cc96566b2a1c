# One image for web, workers, beat and Flower; docker-compose.yml gives each its command.

# What installs stays behind in this stage; the image that runs has neither uv nor pip.
FROM python:3.13-slim AS build

ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /app

# The installer is the one that uv.lock names.
COPY pyproject.toml uv.lock ./
RUN python -m venv --without-pip .venv \
    && pip install --no-cache-dir "uv==$(sed -n '/^name = "uv"$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)" \
    && uv sync --locked --no-dev --extra postgres --no-cache

COPY manage.py ./
COPY hybrid_tasks hybrid_tasks
COPY meats meats
COPY reports reports
COPY project project
# A key for this step only: collecting files signs nothing.
RUN SECRET_KEY=collectstatic .venv/bin/python manage.py collectstatic --noinput


FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PATH="/app/.venv/bin:$PATH"
WORKDIR /app

RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && rm -rf /usr/local/lib/python3.*/ensurepip \
    && useradd --system --create-home --uid 10001 smokehouse \
    && mkdir -p /app/var/receipts /app/var/reports \
    && chown -R smokehouse /app/var

COPY --from=build /app /app

USER smokehouse
EXPOSE 8000
CMD ["uvicorn", "project.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "10"]
