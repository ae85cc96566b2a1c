# One image for web, worker, beat and Flower; docker-compose.yml gives each its command.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    PATH="/app/.venv/bin:$PATH"
WORKDIR /app

RUN useradd --system --create-home --uid 10001 smokehouse \
    && mkdir -p /app/var/receipts /app/var/reports \
    && chown -R smokehouse /app/var

# The installer is the one that uv.lock names.
COPY pyproject.toml uv.lock ./
RUN python -m venv --without-pip .venv \
    && pip install --no-cache-dir "uv==$(sed -n '/^name = "uv"$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)" \
    && uv sync --locked --no-default-groups --group smokehouse --extra postgres --no-cache

COPY manage.py ./
COPY hybrid_tasks hybrid_tasks
COPY meats meats
COPY reports reports
COPY project project
# A key for this step only: collecting files signs nothing.
RUN SECRET_KEY=collectstatic python manage.py collectstatic --noinput

USER smokehouse
EXPOSE 8000
CMD ["uvicorn", "project.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "10"]
