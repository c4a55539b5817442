#!/usr/bin/env python3
"""Writes a GGUF file with a tiny model of random weights: the llama architecture, a byte-level vocabulary.

usage: make_model.py FILE

What it says makes no sense. At temperature 0 it says the same each time, in ASCII, and stops at the limit it is given.
"""

import sys

import gguf
import numpy

SEED = 7
LAYERS, HEADS, WIDTH, FEED_FORWARD = 2, 4, 64, 128
CONTEXT_TOKENS = 2048
UNKNOWN, BEGIN, END = 0, 1, 2
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Chat turns as plain text, so that no token has a special meaning.
CHAT_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"


def vocabulary():
    """(text, score, type) of each token: SentencePiece with all bytes, letters, and words of two letters."""
    kinds = gguf.TokenType
    rows = [("<unk>", 0.0, kinds.UNKNOWN), ("<s>", 0.0, kinds.CONTROL), ("</s>", 0.0, kinds.CONTROL)]
    rows += [(f"<0x{byte:02X}>", 0.0, kinds.BYTE) for byte in range(256)]
    rows += [(letter, -1.0, kinds.NORMAL) for letter in ("\u2581", *LETTERS)]
    rows += [(f"\u2581{a}{b}", -2.0, kinds.NORMAL) for a in LETTERS for b in "aeiou"]
    return rows


def add_vocabulary(writer, rows):
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text.encode() for text, _, _ in rows])
    writer.add_token_scores([score for _, score, _ in rows])
    writer.add_token_types([kind for _, _, kind in rows])
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_chat_template(CHAT_TEMPLATE)


def add_shape(writer, words):
    writer.add_vocab_size(words)
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def add_weights(writer, rows):
    random = numpy.random.default_rng(SEED)

    def matrix(name, outputs, inputs, silent=()):
        values = random.standard_normal((outputs, inputs), dtype=numpy.float32) / numpy.sqrt(inputs)
        values[list(silent)] = 0
        writer.add_tensor(name, values.astype(numpy.float32))

    def ones(name):
        writer.add_tensor(name, numpy.ones(WIDTH, dtype=numpy.float32))

    matrix("token_embd.weight", len(rows), WIDTH)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        matrix(f"blk.{layer}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        matrix(f"blk.{layer}.ffn_up.weight", FEED_FORWARD, WIDTH)
        matrix(f"blk.{layer}.ffn_down.weight", WIDTH, FEED_FORWARD)
        ones(f"blk.{layer}.attn_norm.weight")
        ones(f"blk.{layer}.ffn_norm.weight")
    ones("output_norm.weight")
    # The most likely token is then never one that ends the answer, nor a byte that is no text by itself.
    silent = [number for number, (_, _, kind) in enumerate(rows) if kind != gguf.TokenType.NORMAL]
    matrix("output.weight", len(rows), WIDTH, silent)


def main(path):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    rows = vocabulary()
    add_shape(writer, len(rows))
    add_vocabulary(writer, rows)
    add_weights(writer, rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
