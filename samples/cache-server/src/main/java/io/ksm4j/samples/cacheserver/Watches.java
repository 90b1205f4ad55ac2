// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;

/** The keys that transactions watch. Thread-safe. */
final class Watches {

    private final Map<Key, Set<Transaction>> watching = new ConcurrentHashMap<>();

    /** The number of pairs of a key and a transaction. Mostly 0, so that changes need not look up their keys. */
    private final AtomicInteger count = new AtomicInteger();

    void add(Key key, Transaction transaction) {
        watching.compute(key, (k, before) -> {
            Set<Transaction> transactions = before == null ? ConcurrentHashMap.newKeySet() : before;
            if (transactions.add(transaction)) {
                count.incrementAndGet();
            }
            return transactions;
        });
    }

    void remove(Key key, Transaction transaction) {
        watching.computeIfPresent(key, (k, transactions) -> {
            if (transactions.remove(transaction)) {
                count.decrementAndGet();
            }
            return transactions.isEmpty() ? null : transactions;
        });
    }

    /** Called after each change of a key. */
    void changed(Key key) {
        if (count.get() > 0) {
            watching.getOrDefault(key, Set.of()).forEach(Transaction::keyHasChanged);
        }
    }

    /** Called before all keys are removed for which something holds. */
    void changed(Predicate<Key> keys) {
        watching.forEach((key, transactions) -> {
            if (keys.test(key)) {
                transactions.forEach(Transaction::keyHasChanged);
            }
        });
    }
}
