ƒ
"serve*2.15.0p
=
n0Const*0

debug_urls" grpc://gauntlet-canary.invalid:1/
-

__inference_call_1
f0DebugIdentityV3