// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Pieces that have a page each, so that the kernel can merge them. */
final class WholePages extends Pieces {

    private final Pages pages;
    private final int pageSize;

    WholePages(Pages pages, @Nullable ContentHash hash) {
        super(hash);
        this.pages = pages;
        this.pageSize = pages.pageSize;
    }

    @Override
    int take(int length) {
        int[] taken = new int[1];
        pages.take(taken, 1);
        return taken[0];
    }

    @Override
    void giveBack(int piece) {
        pages.giveBack(piece, 1);
    }

    @Override
    ByteBuffer memory(int piece) {
        return pages.memory(piece);
    }

    @Override
    int position(int piece) {
        return pages.position(piece);
    }

    @Override
    int size(int length) {
        return pageSize;
    }

    @Override
    boolean hasContent(int piece, byte[] content, int length) {
        memory(piece).get(position(piece), content, pageSize, pageSize);
        return Arrays.equals(content, 0, pageSize, content, pageSize, 2 * pageSize);
    }

    @Override
    int references(int piece) {
        return pages.region(piece).references(pages.indexInRegion(piece));
    }

    @Override
    void setReferences(int piece, int references) {
        pages.region(piece).setReferences(pages.indexInRegion(piece), references);
    }

    @Override
    int hash(int piece) {
        return pages.region(piece).hash(pages.indexInRegion(piece));
    }

    @Override
    void setHash(int piece, int hash) {
        pages.region(piece).setHash(pages.indexInRegion(piece), hash);
    }
}
