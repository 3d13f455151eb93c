"""The engine room: reads deliveries, settles workspaces, sends charges, makes time pass."""
