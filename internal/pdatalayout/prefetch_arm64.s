#include "textflag.h"

// func prefetchLines(at unsafe.Pointer, n int)
TEXT ·prefetchLines(SB), NOSPLIT, $0-16
	MOVD at+0(FP), R0
	MOVD n+8(FP), R1
line:
	PRFM (R0), PLDL1KEEP
	ADD  $64, R0
	SUBS $1, R1
	BGT  line
	RET

// func prefetchValues(list unsafe.Pointer, n int)
TEXT ·prefetchValues(SB), NOSPLIT, $0-16
	MOVD list+0(FP), R0
	MOVD n+8(FP), R1
attribute:
	MOVD 0(R0), R2
	MOVD 24(R0), R3
	PRFM (R2), PLDL1KEEP
	PRFM (R3), PLDL1KEEP
	ADD  $40, R0
	SUBS $1, R1
	BGT  attribute
	RET
