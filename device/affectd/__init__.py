"""affectd: a camera and a microphone in, calibrated emotion events over MQTT out, all on the device."""
