"""MQTT: topics, session, delivery of what is stored, and Home Assistant discovery."""
