"""Push messages: the service that delivers them, and the job that sends one."""
