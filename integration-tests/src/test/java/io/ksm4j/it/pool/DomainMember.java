// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.pool;

import io.ksm4j.Ksm;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.pool.MergeDomain;
import io.ksm4j.pool.MergePool;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Random;

/**
 * Stores values in a pool of a domain. For each byte of standard input it prints how many bytes of them are merged.
 */
final class DomainMember {

    private DomainMember() {}

    /**
     * Stores pages that depend on the salt and, in a domain, zero-filled pages.
     *
     * @param args the salt, the number of pages, and the secret; no secret for the domain of everybody
     */
    public static void main(String[] args) throws IOException {
        Ksm ksm = Ksm.system();
        int page = Math.toIntExact(ksm.pageSize());
        int pages = Integer.parseInt(args[1]);
        MergeDomain domain = args.length == 2
                ? MergeDomain.everybody()
                : MergeDomain.ofSecret(args[2].getBytes(StandardCharsets.US_ASCII));
        try (MergePool pool = MergePool.builder(ksm, 4L * pages * page)
                .deduplication(Deduplication.ON_STORE)
                .domain(domain)
                .build()) {
            Random random = new Random(Long.parseLong(args[0]));
            byte[] value = new byte[page];
            for (int i = 0; i < pages; i++) {
                random.nextBytes(value);
                // Twice, for the pool to share, and a value whose page ends in zeros.
                pool.store(value);
                pool.store(value);
            }
            if (args.length == 3) {
                pool.store(new byte[page]);
                pool.store(new byte[100]);
            }
            System.out.println("used " + pool.stats().usedBytes() / page);
            while (System.in.read() >= 0) {
                System.out.println("merged " + pool.mergeStats().mergedBytes().orElse(-1) / page);
            }
        }
    }
}
