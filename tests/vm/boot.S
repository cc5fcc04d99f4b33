/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boot sector for the iPXE test.  Reads the sector at 1 MiB through the BIOS,
 * so through iSCSI, and sends its text to the first serial port; writes the
 * same text to the sector at 2 MiB; then says that it is done.
 */
	.code16
	.globl _start
_start:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	%dl, drive

	movb	$0x42, %ah
	call	disk
	movw	$0x8000, %si
	call	print
	movl	$4096, lba
	movw	$0x4300, %ax
	call	disk
	movw	$done, %si
	call	print
stop:
	hlt
	jmp	stop

disk:				/* extended read or write, as %ah says */
	movb	drive, %dl
	movw	$packet, %si
	int	$0x13
	jc	error
	ret
error:
	movw	$failed, %si
	call	print
	jmp	stop

print:				/* text at %si to the serial port */
	cld
1:	lodsb
	testb	%al, %al
	jz	3f
	movb	%al, %bl
2:	movw	$0x3fd, %dx
	inb	%dx, %al
	testb	$0x20, %al
	jz	2b
	movw	$0x3f8, %dx
	movb	%bl, %al
	outb	%al, %dx
	jmp	1b
3:	ret

drive:	.byte	0
	.balign	4
packet:	.byte	16, 0
	.word	1, 0x8000, 0
lba:	.quad	2048
done:	.asciz	"boot sector done\r\n"
failed:	.asciz	"boot sector: disk error\r\n"
	.org	510
	.word	0xaa55
