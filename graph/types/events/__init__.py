"""Events, activity and subscriptions."""
