// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func zAsm(a int64, b uint8, f float64, s string) (int64, float64)
TEXT ·zAsm(SB), NOSPLIT, $0-56
	MOVQ a+0(FP), AX
	MOVBQZX b+8(FP), BX
	ADDQ BX, AX
	MOVSD f+16(FP), X0
	MOVQ AX, ret+40(FP)
	MOVSD X0, ret1+48(FP)
	RET

// func zAsmFrame(p *int64, n int64) int64
TEXT ·zAsmFrame(SB), $16-24
	MOVQ p+0(FP), BX
	MOVQ n+8(FP), AX
	MOVQ AX, (BX)
	SHLQ $1, AX
	MOVQ AX, ret+16(FP)
	RET
