>
"serve*2.15.0+

n0LoadLibrary

n1GauntletCustomOp