# The part of scripts/boards/pipewire that runs in the tree: the session of a desktop's user, and the service's user
# beside it.
set -euo pipefail
export XDG_RUNTIME_DIR=/run/desktop HOME=/tmp LC_ALL=C.UTF-8
desktop=1000 service=990
map=front-left,front-right,rear-left,rear-right,front-center,lfe

# As systemd/README.md says.
mkdir -p "$XDG_RUNTIME_DIR" /run/pulse /tmp/.config/pipewire/pipewire-pulse.conf.d
cat >/tmp/.config/pipewire/pipewire-pulse.conf.d/affectd.conf <<'END'
pulse.properties = {
    server.address = [ "unix:native" { address = "unix:/run/pulse/native" client.access = "unrestricted" } ]
}
END
chown -R $desktop:$desktop "$XDG_RUNTIME_DIR" /tmp/.config
chmod 700 "$XDG_RUNTIME_DIR"
chown $desktop:$service /run/pulse
chmod 2750 /run/pulse

as() { setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"; }

as $desktop pipewire >/tmp/pipewire.log 2>&1 &
sleep 1
as $desktop dbus-run-session -- wireplumber >/tmp/wireplumber.log 2>&1 &
sleep 2
as $desktop pipewire-pulse >/tmp/pipewire-pulse.log 2>&1 &
sleep 2
export PULSE_SERVER=unix:/run/pulse/native
as $service pactl info | grep -E '^(User Name|Server Name|Server Version)'
as $desktop pactl load-module module-null-sink sink_name=array media.class=Audio/Sink channels=6 channel_map=$map >/dev/null
/opt/v/bin/python /checkout/scripts/boards/pipewire_array.py write /tmp/array.wav
chmod a+r /tmp/array.wav
as $desktop paplay -d array --channel-map=$map /tmp/array.wav &
as $desktop pactl set-default-source array.monitor || as $desktop wpctl status
sleep 2
as $service /opt/v/bin/python /checkout/scripts/boards/pipewire_array.py hear
