"
"serve*2.15.0

n0RpcCall