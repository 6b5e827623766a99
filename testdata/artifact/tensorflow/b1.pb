·
"serve*2.15.0£

n0Const

n1MatMul

n2VarHandleOp

n3ReadVariableOp


n4NoOpQ
O

__inference_call_1
f0MatMul
f1BiasAdd

f2Relu
f3Identity