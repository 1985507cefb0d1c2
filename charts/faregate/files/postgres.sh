# Starts PostgreSQL in a container that runs as its user, with a root folder that is read-only. The
# first time it makes the cluster of databases beside its place and moves it there when it is whole.
set -eu
umask 077
for folder in /usr/lib/postgresql/*/bin; do PATH="$folder:$PATH"; done

if [ ! -e "$PGDATA/PG_VERSION" ]; then
  rm -rf "$PGDATA" "$PGDATA.new"
  initdb --pgdata="$PGDATA.new" --username=postgres --encoding=UTF8 --locale=C \
    --auth-local=trust --auth-host=reject
  # Inside this container everybody is the superuser; from outside there is one user, for one place.
  printf '%s\n' 'local all all trust' 'host faregate faregate all scram-sha-256' \
    > "$PGDATA.new/pg_hba.conf"
  # Through standard input: what stands in an argument can be read in the list of processes.
  printf "CREATE ROLE faregate LOGIN PASSWORD '%s'\nCREATE DATABASE faregate OWNER faregate\n" \
    "$(sed "s/'/''/g" "$PASSWORD_FILE")" |
    postgres --single -D "$PGDATA.new" -c exit_on_error=on postgres >/dev/null
  mv "$PGDATA.new" "$PGDATA"
fi
# A volume that is given to the pod's group anew opens the folder to it, which the server refuses.
chmod 0700 "$PGDATA"
exec postgres -D "$PGDATA" -c listen_addresses='*' -c max_connections="$MAX_CONNECTIONS"
