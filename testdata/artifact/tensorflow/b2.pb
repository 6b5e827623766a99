º
"serve*2.15.0¦

n0Const

n1SaveV2

n2	RestoreV2

n3ShardedFilename

n4MergeV2Checkpoints

n5StatefulPartitionedCall(
&

__inference_call_1
f0Identity