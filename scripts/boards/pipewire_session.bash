# The part of scripts/boards/pipewire that runs in the tree: the session of a desktop's user, and the service's user
# beside it.
set -euo pipefail
export XDG_RUNTIME_DIR=/run/desktop HOME=/tmp LC_ALL=C.UTF-8
desktop=1000 service=990
getent passwd $desktop >/dev/null || useradd --uid $desktop --user-group desktop
getent passwd $service >/dev/null || useradd --system --uid $service --user-group affectd
map=front-left,front-right,rear-left,rear-right,front-center,lfe

# As systemd/README.md says.
mkdir -p "$XDG_RUNTIME_DIR" /run/pulse /tmp/.config/pipewire/pipewire-pulse.conf.d
cat >/tmp/.config/pipewire/pipewire-pulse.conf.d/affectd.conf <<'END'
pulse.properties = {
    server.address = [ "unix:native" { address = "unix:/run/pulse/native" client.access = "unrestricted" } ]
}
END
# No logind, Bluetooth or card is here, without which WirePlumber would end.
mkdir -p /tmp/.config/wireplumber/{main,bluetooth}.lua.d
echo 'alsa_monitor.enabled = false' >/tmp/.config/wireplumber/main.lua.d/51-proof.lua
echo 'bluez_monitor.enabled = false' >/tmp/.config/wireplumber/bluetooth.lua.d/51-proof.lua
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
as $service env HOME=/nonexistent pactl info 2>/dev/null | grep -E '^(User Name|Server Name|Server Version)'
as $desktop pactl load-module module-null-sink sink_name=array media.class=Audio/Sink channels=6 channel_map=$map >/dev/null
/opt/v/bin/python /checkout/scripts/boards/pipewire_array.py write /tmp/array.wav
chmod a+r /tmp/array.wav
as $desktop paplay -d array --channel-map=$map /tmp/array.wav &
as $desktop pactl set-default-source array.monitor
sleep 2
as $service env HOME=/nonexistent /opt/v/bin/python /checkout/scripts/boards/pipewire_array.py hear 2>/tmp/stderr.log
