"""What can be done, one async function an operation. Knows neither GraphQL nor HTTP."""
