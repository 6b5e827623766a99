D
"serve*2.15.01

n0ShardedFilename

n1MergeV2Checkpoints