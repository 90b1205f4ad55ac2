// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package com.example.catalog;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.nio.ByteBuffer;
import java.util.Objects;

/** The prices of one tenant, by article number. Tenants start with the same prices, and most never change one. */
public final class Catalog implements AutoCloseable {

    private final MergeRegion region;
    private final ByteBuffer prices;
    private final int articles;

    /** Creates a catalog with the list prices. */
    public Catalog(Ksm ksm, long[] listPrices) {
        articles = listPrices.length;
        region = ksm.allocate(
                (long) articles * Long.BYTES,
                RegionOptions.DEFAULT.withName("catalog").withHugePages(HugePages.AVOID));
        prices = region.buffer();
        for (int article = 0; article < articles; article++) {
            setPrice(article, listPrices[article]);
        }
    }

    public long price(int article) {
        return prices.getLong(Objects.checkIndex(article, articles) * Long.BYTES);
    }

    public void setPrice(int article, long price) {
        prices.putLong(Objects.checkIndex(article, articles) * Long.BYTES, price);
    }

    /** For tests. */
    MergeRegion region() {
        return region;
    }

    @Override
    public void close() {
        region.close();
    }
}
