package io.ksm4j.pool;

import io.ksm4j.KsmException;

/** A {@link MergePool} has no room for a block, because of its own bound. Blocks that are closed make room. */
public final class PoolExhaustedException extends KsmException {

    private static final long serialVersionUID = 1;

    PoolExhaustedException(String message) {
        super(message);
    }

    /** True: other blocks may be closed meanwhile. */
    @Override
    public boolean mayRetry() {
        return true;
    }
}
