"""The story on top: plan → tune → train → judge → report, and what is asked of a record afterwards."""
