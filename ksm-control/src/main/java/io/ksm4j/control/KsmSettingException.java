package io.ksm4j.control;

import io.ksm4j.KsmException;

/** A setting of {@code ksmd} could not be read or changed. What was changed along with it has been put back. */
public abstract class KsmSettingException extends KsmException {

    private static final long serialVersionUID = 1;

    /** The setting. */
    private final KsmSetting setting;

    KsmSettingException(KsmSetting setting, String message) {
        super(message);
        this.setting = setting;
    }

    /**
     * The setting.
     *
     * @return the one that could not be read or changed
     */
    public final KsmSetting setting() {
        return setting;
    }
}
