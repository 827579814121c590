"""Events over RabbitMQ: requests come in, changes of state go out.

`broker`: the connection and the names on it. `consuming`: StartWorkflow events become requests. `publishing`: what
happens to a request is told under the correlation id that it came with.
"""
