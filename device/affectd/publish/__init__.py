"""MQTT: topics, session, store-and-forward, and Home Assistant discovery."""
