"""The read model of logs: what agents logged lately, found by words, agent, service, logger, severity and trace."""
