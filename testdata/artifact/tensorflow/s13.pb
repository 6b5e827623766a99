Q
"serve*2.15.0>

n0LookupTableExport
#
n1InitializeTableFromTextFileV2