#include "textflag.h"

// func prefetchLines(at unsafe.Pointer, n int)
TEXT ·prefetchLines(SB), NOSPLIT, $0-16
	MOVQ at+0(FP), AX
	MOVQ n+8(FP), CX
line:
	PREFETCHT0 (AX)
	ADDQ       $64, AX
	DECQ       CX
	JG         line
	RET

// func prefetchValues(list unsafe.Pointer, n int)
TEXT ·prefetchValues(SB), NOSPLIT, $0-16
	MOVQ list+0(FP), AX
	MOVQ n+8(FP), CX
attribute:
	MOVQ       0(AX), BX
	MOVQ       24(AX), DX
	PREFETCHT0 (BX)
	PREFETCHT0 (DX)
	ADDQ       $40, AX
	DECQ       CX
	JG         attribute
	RET
