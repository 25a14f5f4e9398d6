// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func sum(a int, b uint8, s string) (int, bool): no stack check, no frame
TEXT ·sum(SB), NOSPLIT, $0-48
	MOVQ a+0(FP), AX
	MOVBQZX b+8(FP), BX
	ADDQ BX, AX
	MOVQ s_len+24(FP), CX
	ADDQ CX, AX
	MOVQ AX, ret+32(FP)
	MOVB $1, ret1+40(FP)
	RET

// func deep(n int) int: a stack check, a frame, a call
TEXT ·deep(SB), 0, $200-16
	MOVQ n+0(FP), AX
	MOVQ AX, 0(SP)
	CALL local<>(SB)
	MOVQ 8(SP), AX
	MOVQ AX, ret+8(FP)
	RET

// only called from assembly: 3 times what it is given
TEXT local<>(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), AX
	LEAQ (AX)(AX*2), AX
	MOVQ AX, ret+8(FP)
	RET

// func up(n int) int: calls a Go function, which has a wrapper for that
TEXT ·up(SB), 0, $64-16
	MOVQ n+0(FP), AX
	MOVQ AX, 0(SP)
	CALL ·fromAssembly(SB)
	MOVQ 8(SP), AX
	MOVQ AX, ret+8(FP)
	RET
