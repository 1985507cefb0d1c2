
# Added to the Dockerfile by the Tiltfile.
COPY .dev/tilt/start .dev/reload.py /opt/live/
COPY gateway /opt/live/gateway
COPY operator/gateway_operator /opt/live/gateway_operator
ENV PYTHONPATH=/tmp/live PYTHONDONTWRITEBYTECODE=
ENTRYPOINT ["sh", "/opt/live/start"]
