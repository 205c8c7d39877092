# The image of Taskloom: `taskloom serve`, `taskloom worker` and `taskloom migrate` alike.
# Build with --build-arg COMMIT=$(git rev-parse HEAD), which `/version` then shows.

FROM node:24-slim AS explorer
WORKDIR /explorer
COPY explorer/package.json explorer/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY explorer/ ./
RUN npm run build

FROM node:24-slim AS board
WORKDIR /clients/board
COPY clients/board/package.json clients/board/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY clients/typescript/src ../typescript/src
COPY clients/board/ ./
RUN npm run build

FROM python:3.12-slim AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements-pip.lock requirements.lock /app/
RUN /opt/venv/bin/pip install --require-hashes --no-deps -r /app/requirements-pip.lock \
    && /opt/venv/bin/pip install --require-hashes --no-deps -r /app/requirements.lock
# Editable, so that the environment has the command and finds the code copied below.
COPY pyproject.toml /app/
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation --no-index -e /app

FROM python:3.12-slim
# With numbers that others can name: Kubernetes admits no user of which it does not know that it is
# not root.
RUN groupadd --system --gid 10001 taskloom \
    && useradd --system --uid 10001 --gid taskloom --create-home --home-dir /home/taskloom taskloom \
    && install -d -o taskloom -g taskloom /data
WORKDIR /app
COPY --from=environment /opt/venv /opt/venv
COPY . .
COPY --from=explorer /explorer/dist explorer/dist
COPY --from=board /clients/board/dist clients/board/dist
RUN python -m compileall -q .
ARG COMMIT=unknown
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TASKLOOM_ENV=production \
    TASKLOOM_HOST=0.0.0.0 \
    TASKLOOM_DATA_DIR=/data \
    TASKLOOM_COMMIT=$COMMIT
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "scripts/healthy.py"]
CMD ["taskloom", "serve"]
