K
"serve*2.15.08

n0Const)
'

__inference_call_1
f0	WriteFile